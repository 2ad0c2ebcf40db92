package harness

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// waitLimit bounds the wait for a pod or an event. A kubelet pulls again
// after 10, 20, 40 seconds.
const waitLimit = 90 * time.Second

// Until waits for what must come to be.
func Until(t testing.TB, what string, ready func() error) {
	t.Helper()
	if err := await(what, waitLimit, ready); err != nil {
		t.Fatal(err)
	}
}

// Waiting is why a container does not run.
type Waiting struct {
	Reason, Message string
}

// Event that the cluster reported.
type Event struct {
	Type, Reason, Message string
	Count                 int
	InvolvedObject        struct{ Kind, Name string }
}

type pod struct {
	Status struct {
		Phase, Message        string
		ContainerStatuses     []containerStatus
		InitContainerStatuses []containerStatus
	}
}

type containerStatus struct {
	Name  string
	Ready bool
	State struct{ Waiting *Waiting }
}

// Running waits until all containers of a pod run.
func (n *Namespace) Running(name string) {
	n.t.Helper()
	n.await("pod "+name+" is running", name, func() error {
		p, err := n.pod(name)
		if err != nil {
			return err
		}
		for _, s := range p.Status.ContainerStatuses {
			if !s.Ready {
				return fmt.Errorf("container %s is not ready", s.Name)
			}
		}
		if p.Status.Phase != "Running" {
			return fmt.Errorf("its phase is %s", p.Status.Phase)
		}
		return nil
	})
}

// Waiting waits until a container of a pod waits for one of these reasons,
// and tells which.
func (n *Namespace) Waiting(name string, reasons ...string) Waiting {
	n.t.Helper()
	var found Waiting
	n.await(fmt.Sprintf("a container of pod %s waits for %v", name, reasons), name, func() error {
		p, err := n.pod(name)
		if err != nil {
			return err
		}
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if w := s.State.Waiting; w != nil && slices.Contains(reasons, w.Reason) {
				found = *w
				return nil
			}
		}
		return errors.New("no container does")
	})
	return found
}

// Event waits for an event about an object whose message has this text in it.
func (n *Namespace) Event(object, text string) Event {
	n.t.Helper()
	var found Event
	n.await(fmt.Sprintf("an event of %s says %q", object, text), object, func() error {
		events, err := n.events(object)
		if err != nil {
			return err
		}
		for _, e := range events {
			if strings.Contains(e.Message, text) {
				found = e
				return nil
			}
		}
		return errors.New("none does")
	})
	return found
}

// Events about an object, up to now.
func (n *Namespace) Events(object string) []Event {
	n.t.Helper()
	events, err := n.events(object)
	if err != nil {
		n.t.Fatal(err)
	}
	return events
}

func (n *Namespace) events(object string) ([]Event, error) {
	var list struct{ Items []Event }
	err := n.c.get(n.path("events?fieldSelector="+url.QueryEscape("involvedObject.name="+object)), &list)
	return list.Items, err
}

func (n *Namespace) pod(name string) (pod, error) {
	var p pod
	err := n.c.get(n.path("pods/"+name), &p)
	return p, err
}

// await fails the test with all that is known of the object.
func (n *Namespace) await(what, object string, ready func() error) {
	n.t.Helper()
	err := await(what, waitLimit, ready, n.c.parts...)
	if err == nil {
		return
	}
	var known strings.Builder
	if p, err := n.pod(object); err == nil {
		fmt.Fprintf(&known, "status: %+v\n", p.Status)
	}
	events, _ := n.events(object)
	for _, e := range events {
		fmt.Fprintf(&known, "%s %s (%d): %s\n", e.Type, e.Reason, e.Count, e.Message)
	}
	n.t.Fatalf("%v\n%s", err, known.String())
}
