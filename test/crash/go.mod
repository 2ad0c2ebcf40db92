module fairlead.dev/fairlead/test/crash

go 1.26.0
