;; Reads beyond the end of its memory, which traps.
;; Ends: trapped.
(module
  (memory (export "memory") 1)
  (func $reads_too_far (export "_start")
    (drop (i32.load (i32.const 65536)))))
