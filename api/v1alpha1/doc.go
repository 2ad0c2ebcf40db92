// Package v1alpha1 are Fairlead's kinds in a Kubernetes cluster: what pull
// secrets there are to be. Data only.
//
// A ClusterPullSecret keeps one secret in many namespaces, a PullSecret in its
// own. Both hold the entries of all their registries; the credentials are
// minted from a Fairlead, or taken from a Secret in the controller's
// namespace.
//
// +kubebuilder:object:generate=true
// +groupName=fairlead.dev
package v1alpha1
