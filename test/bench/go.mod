module fairlead.dev/fairlead/test/bench

go 1.26.0
