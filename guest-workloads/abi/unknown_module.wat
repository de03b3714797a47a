;; Imports from a module that nobody offers.
;; Ends: refused.
(module
  (import "env" "abort" (func))
  (memory (export "memory") 1)
  (func (export "_start")))
