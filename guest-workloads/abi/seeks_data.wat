;; Seeks with SEEK_DATA, which preview1 passes on unchecked.
;; Ends: halted.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek"
    (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "name")
  (func (export "_start")
    (drop (call $path_open
      (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 1)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))
    (drop (call $fd_seek (i32.load (i32.const 32)) (i64.const 0) (i32.const 3) (i32.const 8)))))
