;; Writes two vectors that share their bytes, then reads into two that share theirs: what arrives
;; last stays. Exits with the sum of the two results' errnos.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Both vectors: two bytes at 64, and three bytes at 65.
  (data (i32.const 0) "\40\00\00\00\02\00\00\00\41\00\00\00\03\00\00\00")
  (data (i32.const 64) "abcd")
  (func (export "_start") (local $errno i32)
    (local.set $errno (call $fd_write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 32)))
    (local.set $errno (i32.add (local.get $errno)
      (call $fd_read (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 32))))
    ;; One vector of five bytes shows what the reads left, and the count.
    (i32.store (i32.const 4) (i32.const 5))
    (i32.store8 (i32.const 68) (i32.load8_u (i32.const 32)))
    (local.set $errno (i32.add (local.get $errno)
      (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 36))))
    (call $proc_exit (local.get $errno))))
