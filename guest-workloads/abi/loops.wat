;; Loops for ever and calls nothing.
;; Ends: ran out of fuel.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (br $again))))
