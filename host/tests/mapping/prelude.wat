  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_pread"
    (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size"
    (func $set_size (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
  (import "crashproof_ext_v0" "fd_mmap"
    (func $mmap (param i32 i32 i32 i32 i32 i64) (result i32)))
  (import "crashproof_ext_v0" "mem_munmap" (func $munmap (param i32 i32) (result i32)))
  (import "crashproof_ext_v0" "mem_msync" (func $msync (param i32 i32 i32) (result i32)))
  (import "crashproof_ext_v0" "mem_mprotect" (func $mprotect (param i32 i32 i32) (result i32)))
  (import "crashproof_ext_v0" "mem_madvise" (func $madvise (param i32 i32 i32) (result i32)))
  (import "crashproof_ext_v0" "fd_dup" (func $dup (param i32 i32) (result i32)))
  (import "crashproof_ext_v0" "fd_flags_get" (func $flags (param i32 i32) (result i32)))
  (import "crashproof_ext_v0" "fd_statfs" (func $statfs (param i32 i32) (result i32)))
  (import "crashproof_ext_v0" "fd_syncfs" (func $syncfs (param i32) (result i32)))
  (import "crashproof_ext_v0" "fs_drop_caches" (func $drop_caches (result i32)))
  (import "crashproof_ext_v0" "note" (func $note (param i32 i64) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 16) "f")
  (global $fd (mut i32) (i32.const -1))

  ;; Ends with this code unless both are equal.
  (func $same (param $code i32) (param $a i32) (param $b i32)
    (if (i32.ne (local.get $a) (local.get $b)) (then (call $exit (local.get $code)))))

  ;; Opens `f`, made if it is not there, to read and write.
  (func $open
    (call $same (i32.const 100) (i32.const 0)
      (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 1)
        (i64.const 0x0fffffff) (i64.const 0) (i32.const 0) (i32.const 24)))
    (global.set $fd (i32.load (i32.const 24))))

  ;; Sets the size of `f`.
  (func $size (param $size i64)
    (call $same (i32.const 101) (i32.const 0)
      (call $set_size (global.get $fd) (local.get $size))))

  ;; Maps `f` from its start.
  (func $map (param $at i32) (param $len i32) (param $protection i32) (param $flags i32)
    (call $same (i32.const 102) (i32.const 0)
      (call $mmap (global.get $fd) (local.get $at) (local.get $len) (local.get $protection)
        (local.get $flags) (i64.const 0))))

  (func $vector (param $at i32) (param $len i32)
    (i32.store (i32.const 32) (local.get $at))
    (i32.store (i32.const 36) (local.get $len)))

  ;; Reads a part of `f` into memory, whole.
  (func $read (param $at i32) (param $len i32) (param $from i64)
    (call $vector (local.get $at) (local.get $len))
    (call $same (i32.const 103) (i32.const 0)
      (call $fd_pread (global.get $fd) (i32.const 32) (i32.const 1) (local.get $from)
        (i32.const 40)))
    (call $same (i32.const 104) (local.get $len) (i32.load (i32.const 40))))

  ;; Writes a part of memory to `f`, whole.
  (func $write (param $at i32) (param $len i32) (param $to i64)
    (call $vector (local.get $at) (local.get $len))
    (call $same (i32.const 105) (i32.const 0)
      (call $fd_pwrite (global.get $fd) (i32.const 32) (i32.const 1) (local.get $to)
        (i32.const 40)))
    (call $same (i32.const 106) (local.get $len) (i32.load (i32.const 40))))

  ;; Four bytes of `f`, by a read.
  (func $word (param $from i64) (result i32)
    (call $read (i32.const 48) (i32.const 4) (local.get $from))
    (i32.load (i32.const 48)))
