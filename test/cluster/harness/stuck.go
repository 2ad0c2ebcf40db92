package harness

import (
	"errors"
	"slices"
)

// making are what a container waits for while nothing has failed.
var making = []string{"", "ContainerCreating", "PodInitializing"}

// Stuck waits until a container of a pod cannot go on, for whatever reason.
func (n *Namespace) Stuck(name string) Waiting {
	n.t.Helper()
	var found Waiting
	n.await("pod "+name+" is stuck", name, func() error {
		p, err := n.pod(name)
		if err != nil {
			return err
		}
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if w := s.State.Waiting; w != nil && !slices.Contains(making, w.Reason) {
				found = *w
				return nil
			}
		}
		return errors.New("no container is")
	})
	return found
}

// Held waits until the node reports that it holds an image.
func (n *Namespace) Held(image string) {
	n.t.Helper()
	n.await("the node holds "+image, "", func() error {
		var node struct {
			Status struct{ Images []struct{ Names []string } }
		}
		if err := n.c.get("/api/v1/nodes/"+nodeName, &node); err != nil {
			return err
		}
		for _, i := range node.Status.Images {
			if slices.Contains(i.Names, image) {
				return nil
			}
		}
		return errors.New("it is not among its images")
	})
}
