//! `exchange`: two names get each other's files.

use bytes::Bytes;

use crate::call::At;
use crate::call::Errno;
use crate::call::Value;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::cow::Transaction;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::rename::name_of;
use crate::vfs::resolve::LastLink;
use crate::vfs::resolve::Place;
use crate::vfs::snapshot::changeable;

/// One step of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExchangeStep {
    /// The first name leads to the second one's file.
    PlaceFirst,
    /// The second name leads to the file that was the first one's.
    PlaceSecond,
    /// What was done so far becomes durable, whatever comes of the rest.
    Commit,
}

/// Both names are changed in one transaction [CRASH-06].
pub const EXCHANGE_ATOMIC: &[ExchangeStep] = &[ExchangeStep::PlaceFirst, ExchangeStep::PlaceSecond];

/// Two transactions: between them, both names lead to one file, and none to the other.
pub const EXCHANGE_IN_TWO: &[ExchangeStep] =
    &[ExchangeStep::PlaceFirst, ExchangeStep::Commit, ExchangeStep::PlaceSecond];

/// A name, and what it leads to.
#[derive(Debug)]
struct Named {
    dir: u64,
    name: Bytes,
    ino: u64,
    kind: Kind,
}

impl ReferenceVfs {
    pub(super) async fn exchange(&self, call: &Call<'_>, from: &At, to: &At) -> Outcome<Value> {
        let _names = self.names.acquire().await;
        let from = self.resolve(call, from, LastLink::AlwaysKept).await?;
        let to = self.resolve(call, to, LastLink::AlwaysKept).await?;
        let [first, second] = self.exchangeable(&from, &to).await?;
        // Two names of one file are as they will be.
        if first.ino != second.ino {
            let moved = [&first, &second].map(|moved| (moved.dir, moved.ino, moved.kind));
            self.check_move(call, moved[0], moved[1].0).await?;
            self.check_move(call, moved[1], moved[0].0).await?;
            self.apply_exchange(&first, &second).await?;
        }
        Ok(Value::Done)
    }

    /// What is to be exchanged: both are there, and neither holds the other.
    async fn exchangeable(&self, from: &Place, to: &Place) -> Outcome<[Named; 2]> {
        let (from_name, to_name) = (name_of(from)?, name_of(to)?);
        if !Cow::is_same_tree(from.dir, to.dir) {
            return Err(Errno::CrossDevice.into());
        }
        let (from_file, to_file) = (from.existing()?, to.existing()?);
        changeable(from.dir)?;
        for ((ino, kind), other) in [(from_file, to), (to_file, from)] {
            if kind == Kind::Directory && self.is_within(other.dir, ino).await? {
                return Err(Errno::Invalid.into());
            }
        }
        let named = |place: &Place, name, (ino, kind)| Named { dir: place.dir, name, ino, kind };
        Ok([named(from, from_name, from_file), named(to, to_name, to_file)])
    }

    async fn apply_exchange(&self, first: &Named, second: &Named) -> Outcome<()> {
        let now = self.sim.now_nanos();
        let mut transaction = self.cow.begin().await?;
        for step in self.policy.exchange {
            match step {
                ExchangeStep::PlaceFirst => {
                    self.place(&mut transaction, first, second, now).await?;
                }
                ExchangeStep::PlaceSecond => {
                    self.place(&mut transaction, second, first, now).await?;
                }
                ExchangeStep::Commit => {
                    transaction.finish().await?;
                    self.cow.commit().await?;
                    transaction = self.cow.begin().await?;
                }
            }
        }
        transaction.finish().await?;
        for moved in [first, second].into_iter().filter(|moved| moved.kind == Kind::Regular) {
            self.cache.set_times(moved.ino, |times| times.change_nanos = now);
        }
        Ok(())
    }

    /// Makes a name lead to the other one's file.
    async fn place(
        &self,
        transaction: &mut Transaction,
        at: &Named,
        moved: &Named,
        now: u64,
    ) -> Outcome<()> {
        transaction.replace_entry(at.dir, &at.name, moved.ino, moved.kind).await?;
        let inode = transaction.inode(moved.ino).await?;
        let mut inode = inode.ok_or(CowError::NoInode(moved.ino))?;
        inode.times.change_nanos = now;
        if moved.kind == Kind::Directory {
            inode.parent = at.dir;
        }
        transaction.put_inode(moved.ino, &inode).await?;
        self.touch_directory(transaction, at.dir, now).await
    }
}
