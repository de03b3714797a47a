//! `on_store` and `on_load`: what the rewriter's code calls. No guest has them by itself.

use wasmtime::Caller;
use wasmtime::Linker;

use crate::mapping::LOAD_IMPORT;
use crate::mapping::STORE_IMPORT;
use crate::wasi::Process;
use crate::wasi::ext::MODULE;
use crate::wasi::finish;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

async fn on_access(frame: &mut Frame<'_>, is_store: bool, address: u32, len: u32) -> Outcome {
    let range = u64::from(address)..u64::from(address) + u64::from(len);
    if range.end > frame.bytes().len() as u64 {
        // A load that is about to trap.
        return Ok(());
    }
    let told = match is_store {
        true => frame.announce_store(range).await,
        false => frame.announce_load(range).await,
    };
    frame.settle(told).await
}

pub(super) fn link_inline(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
    for (name, is_store) in [(STORE_IMPORT, true), (LOAD_IMPORT, false)] {
        linker.func_wrap(
            MODULE,
            name,
            move |mut caller: Caller<'_, Process>, address: u32, len: u32| {
                let sim = caller.data().sim.clone();
                let mut frame = Frame::new(&mut caller)?;
                finish(sim.block_on(on_access(&mut frame, is_store, address, len)))
            },
        )?;
    }
    Ok(())
}

pub(super) fn link_tasks(linker: &mut Linker<Process>) -> wasmtime::Result<()> {
    for (name, is_store) in [(STORE_IMPORT, true), (LOAD_IMPORT, false)] {
        linker.func_wrap_async(
            MODULE,
            name,
            move |mut caller: Caller<'_, Process>, (address, len): (u32, u32)| {
                Box::new(async move {
                    let mut frame = Frame::new(&mut caller)?;
                    finish(on_access(&mut frame, is_store, address, len).await)
                })
            },
        )?;
    }
    Ok(())
}
