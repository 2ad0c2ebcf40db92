package controller

import (
	"fmt"
	"testing"

	"fairlead.dev/fairlead/internal/pullplan"
)

// TestRepairsForget: what was undone again and again is remembered among
// thousands of namespaces that were only looked at, which are not.
func TestRepairsForget(t *testing.T) {
	r := newRepairs()
	d := pullplan.Decision{Verb: pullplan.SetList, Object: "default", Reason: pullplan.Missing}
	for range repairBurst {
		if pause := r.pause("hot", d); pause > 0 {
			t.Fatalf("a repair waits %s within the burst", pause)
		}
		r.wrote("hot", d)
	}
	for i := range 2_000 {
		r.pause(fmt.Sprint("cold-", i), d)
	}
	if pause := r.pause("hot", d); pause == 0 {
		t.Error("it was forgotten")
	}
	if n := len(r.of); n > 128 {
		t.Errorf("%d namespaces are remembered", n)
	}
	for i := range 2_000 {
		d.Object = fmt.Sprint("job-", i)
		r.pause("hot", d)
	}
	if n := len(r.of["hot"]); n > mostRepairs {
		t.Errorf("%d accounts of a namespace are remembered", n)
	}
	if d.Object = "default"; r.pause("hot", d) == 0 {
		t.Error("it was forgotten among accounts")
	}
}
