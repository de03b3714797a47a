//! Extended attributes: small named values of a file or a directory. They take effect, and become
//! durable, as its other attributes do.
//!
//! Permission bits are asked, not how the file was opened, as Linux has it for names of users.
//!
//! A name begins with `user.`; name and value together are no longer than a node of the file
//! system's tree can hold.

use bytes::Bytes;

use crate::call::Attribute;
use crate::call::Errno;
use crate::call::Right;
use crate::call::SetAttribute;
use crate::call::Value;
use crate::cow::CowError;
use crate::cow::Transaction;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::snapshot::changeable;

const PREFIX: &[u8] = b"user.";
/// `XATTR_NAME_MAX`.
const NAME_BYTES_MAX: usize = 255;

fn check_name(name: &Bytes) -> Result<(), Errno> {
    if !name.starts_with(PREFIX) {
        return Err(Errno::NotSupported);
    }
    let is_name = name.len() > PREFIX.len() && name.len() <= NAME_BYTES_MAX && !name.contains(&0);
    if is_name { Ok(()) } else { Err(Errno::Invalid) }
}

impl ReferenceVfs {
    pub(super) async fn dispatch_attribute(
        &self,
        call: &Call<'_>,
        asked: Attribute,
    ) -> Outcome<Value> {
        match asked {
            Attribute::Get { handle, name } => {
                let ino = self.description(handle)?.ino;
                check_name(&name)?;
                self.check_right(call, ino, Right::Read).await?;
                let value = self.cow.attribute(ino, &name).await?;
                Ok(Value::AttributeValue(value.ok_or(Errno::NoAttribute)?))
            }
            Attribute::List { handle } => {
                let ino = self.description(handle)?.ino;
                Ok(Value::AttributeNames(self.cow.attribute_names(ino).await?))
            }
            Attribute::Set { handle, name, value, how } => {
                let ino = self.description(handle)?.ino;
                self.set_attribute(call, ino, (&name, value), how).await
            }
            Attribute::Remove { handle, name } => {
                let ino = self.description(handle)?.ino;
                changeable(ino)?;
                check_name(&name)?;
                self.check_right(call, ino, Right::Write).await?;
                let mut transaction = self.cow.begin().await?;
                if transaction.attribute(ino, &name).await?.is_none() {
                    return Err(Errno::NoAttribute.into());
                }
                transaction.remove_attribute(ino, &name).await?;
                self.finish_attribute(call, ino, transaction).await
            }
        }
    }

    async fn set_attribute(
        &self,
        call: &Call<'_>,
        ino: u64,
        (name, value): (&Bytes, Bytes),
        how: SetAttribute,
    ) -> Outcome<Value> {
        changeable(ino)?;
        check_name(name)?;
        self.check_right(call, ino, Right::Write).await?;
        if name.len() + value.len() > self.cow.attribute_size_bytes_max() {
            return Err(Errno::TooBig.into());
        }
        let mut transaction = self.cow.begin().await?;
        let is_there = transaction.attribute(ino, name).await?.is_some();
        match how {
            SetAttribute::Create if is_there => return Err(Errno::Exists.into()),
            SetAttribute::Replace if !is_there => return Err(Errno::NoAttribute.into()),
            SetAttribute::Any | SetAttribute::Create | SetAttribute::Replace => {}
        }
        transaction.put_attribute(ino, name, value).await?;
        self.finish_attribute(call, ino, transaction).await
    }

    /// The change takes effect with the time of it.
    async fn finish_attribute(
        &self,
        call: &Call<'_>,
        ino: u64,
        mut transaction: Transaction,
    ) -> Outcome<Value> {
        let now = self.sim.now_nanos();
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        inode.times.change_nanos = now;
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await?;
        call.takes_effect();
        self.cache.set_times(ino, |times| times.change_nanos = now);
        Ok(Value::Done)
    }
}
