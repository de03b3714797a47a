//! The mutex of what a world owns.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ops::DerefMut;

/// State of one world. A world is one thread, so nobody ever waits for it: it needs no queue, and
/// letting go of it is a plain store. Whatever several threads share has a mutex of the library.
#[derive(Debug, Default)]
pub struct WorldMutex<T: ?Sized>(spin::Mutex<T>);

/// Gives the state back when dropped. It stays on its thread, so that no task holds it across an
/// await.
pub struct WorldGuard<'a, T: ?Sized> {
    state: spin::MutexGuard<'a, T>,
    stays: PhantomData<*const ()>,
}

impl<T> WorldMutex<T> {
    /// Owned state.
    pub const fn new(state: T) -> Self {
        Self(spin::Mutex::new(state))
    }
}

impl<T: ?Sized> WorldMutex<T> {
    /// The state, for as long as the answer lives.
    pub fn lock(&self) -> WorldGuard<'_, T> {
        WorldGuard { state: self.0.lock(), stays: PhantomData }
    }
}

impl<T: ?Sized> Deref for WorldGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T: ?Sized> DerefMut for WorldGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for WorldGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}
