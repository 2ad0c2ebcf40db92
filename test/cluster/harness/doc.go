// Package harness runs a real Kubernetes, real registries and a real fairlead
// for tests. A package that uses it ends its TestMain with
// os.Exit(harness.Main(m)); a test reads like this:
//
//	func TestPull(t *testing.T) {
//		c := harness.Node(t) // or Cluster, for a test that runs no pods
//		ns := c.Namespace(t)
//		s := harness.StartFairlead(t)
//		s.Account(t, "acme", "acme-web")
//		image := harness.Operator(s).Push(t, "acme-web/app:v1", c.App(t, "one"))
//
//		ns.Apply(harness.Pod("lost", image))
//		t.Log(ns.Event("lost", "401 Unauthorized").Message)
//		ns.Waiting("lost", "ErrImagePull", "ImagePullBackOff")
//
//		token := s.Mint(t, harness.Minting{Account: "acme"})
//		ns.PullSecret("pull", harness.Holder(s, token.Value))
//		ns.Apply(harness.Pod("app", image, "pull"))
//		ns.Running("app")
//		t.Log(ns.Run("", harness.FairleadBinary(), "version").Stdout)
//	}
//
// The cluster is one per test binary: etcd, API server, controllers,
// scheduler, and, as root on a machine with containerd and runc, a node. Tests
// share it, each in namespaces of its own, and may run in parallel. Nothing of
// it is left on the machine, however the tests end: the node lives in
// namespaces of the kernel that end with its first process.
//
// StartFaults puts a proxy that spoils answers in front of a registry,
// StartOther runs a registry that is not Fairlead. FAIRLEAD_KEEP=1 keeps the
// cluster until Ctrl-C; FAIRLEAD_REQUIRE_NODE=1 makes tests fail that would be
// skipped for want of a node.
package harness
