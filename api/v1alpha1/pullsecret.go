package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Registry is one entry of a pull secret, and where its credential comes from.
//
// +kubebuilder:validation:XValidation:rule="has(self.fairlead) != has(self.secret)",message="give one of fairlead and secret"
type Registry struct {
	// Host is the registry as images name it, with its port, in lower case:
	// registry.example.com, 127.0.0.1:5000. Docker Hub is docker.io.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([[][0-9a-f:]+[]]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$')",message="host must be the registry as images name it: a name or an address in lower case and, if it has one, a port from 1 to 65535; no https://, no path"
	// +kubebuilder:validation:XValidation:rule="self.contains('.') || self.contains(':') || self == 'localhost'",message="images of a host without a dot and without a port are taken for ones of Docker Hub: write its full name, or its port"
	Host string `json:"host"`
	// Namespaces of the registry that the credential is for; none: all of it.
	// Two accounts of one registry stand side by side by their namespaces.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`
	Namespaces []string `json:"namespaces,omitempty"`
	// Fairlead mints the credential.
	//
	// +optional
	Fairlead *FairleadSource `json:"fairlead,omitempty"`
	// Secret holds the credential.
	//
	// +optional
	Secret *SecretSource `json:"secret,omitempty"`
}

// FairleadSource mints read-only tokens at a Fairlead with a cluster's token.
//
// +kubebuilder:validation:XValidation:rule="duration(self.renewAfter) < duration(self.lifetime)",message="renewAfter must be less than lifetime"
type FairleadSource struct {
	// TokenSecret is a Secret in the controller's namespace: the Fairlead's URL
	// under the key url, the cluster's token under token, and, if its authority
	// is private, its certificates under ca.crt. The URL stands beside the
	// token so that no policy sends the token elsewhere. Its annotations are
	// those of a SecretSource.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	TokenSecret string `json:"tokenSecret"`
	// Lifetime of a minted token, 1h to 8760h.
	//
	// +optional
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1h') && duration(self) <= duration('8760h')",message="lifetime must be 1h to 8760h; days are written in hours"
	Lifetime metav1.Duration `json:"lifetime,omitempty"`
	// RenewAfter is the age at which a token is renewed, at 60 % of its life at
	// the latest; the old one stays good until it expires.
	//
	// +optional
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m')",message="renewAfter must be 10m at least"
	RenewAfter metav1.Duration `json:"renewAfter,omitempty"`
}

// SecretSource is a Secret in the controller's namespace, of the type
// kubernetes.io/dockerconfigjson or kubernetes.io/basic-auth. Its annotations say
// who may use it, nobody by default: fairlead.dev/namespaces names namespaces,
// separated by commas, or * for all; fairlead.dev/cluster-pull-secrets names
// ClusterPullSecrets, which may in all namespaces that they choose.
type SecretSource struct {
	// Name of the Secret.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Accounts are the service accounts whose lists name the secret.
//
// +kubebuilder:validation:XValidation:rule="!has(self.all) || !self.all || !has(self.names)",message="all leaves nothing to name"
type Accounts struct {
	// Names of service accounts; default if nothing is chosen.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=253
	Names []string `json:"names,omitempty"`
	// Selector chooses service accounts by their labels, beside Names.
	//
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// All service accounts.
	//
	// +optional
	All bool `json:"all,omitempty"`
}

// Recreate says what happens to pods that were made before their secret.
//
// +kubebuilder:validation:Enum=Never;Stuck
type Recreate string

// The ways.
const (
	RecreateNever Recreate = "Never"
	RecreateStuck Recreate = "Stuck" // those that wait for an image and have an owner
)

// PullSecretSpec is what the secret holds, and which service accounts name it.
type PullSecretSpec struct {
	// Registries that the secret has entries for.
	//
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	Registries []Registry `json:"registries"`
	// SecretName in each namespace: one of those that the controller was
	// installed with.
	//
	// +optional
	// +kubebuilder:default="fairlead-pull"
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
	// ServiceAccounts whose lists name the secret.
	//
	// +optional
	ServiceAccounts Accounts `json:"serviceAccounts,omitempty"`
	// AppendToOwnList lets the webhook add the name to pods that have a list
	// of their own.
	//
	// +optional
	AppendToOwnList bool `json:"appendToOwnList,omitempty"`
	// RecreatePods that were made before.
	//
	// +optional
	// +kubebuilder:default=Never
	RecreatePods Recreate `json:"recreatePods,omitempty"`
}

// ClusterPullSecretSpec is what the secret holds, and which namespaces get it.
type ClusterPullSecretSpec struct {
	PullSecretSpec `json:",inline"`
	// NamespaceSelector chooses namespaces by their labels; all without.
	//
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// ExcludeNamespaces that would be chosen.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=63
	ExcludeNamespaces []string `json:"excludeNamespaces,omitempty"`
	// NameInKubeSystem lets service accounts of kube-system name the secret as
	// well; it is there all the same.
	//
	// +optional
	NameInKubeSystem bool `json:"nameInKubeSystem,omitempty"`
}

// RegistryStatus is one registry's credential.
type RegistryStatus struct {
	// Host as in the spec.
	Host string `json:"host"`
	// Expires is when the credential in the secrets does; absent if it is not
	// known to.
	//
	// +optional
	Expires *metav1.Time `json:"expires,omitempty"`
	// Renewed is when it last changed.
	//
	// +optional
	Renewed *metav1.Time `json:"renewed,omitempty"`
	// Problem is why it could not be had, or renewed.
	//
	// +optional
	Problem string `json:"problem,omitempty"`
	// Reason of the problem, in one word, as in the conditions.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
}

// PullSecretStatus counts what was done.
type PullSecretStatus struct {
	// ObservedGeneration is the generation of the spec that this is about.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Namespaces that are chosen.
	//
	// +optional
	Namespaces int32 `json:"namespaces"`
	// Ready are those where all is as it should be.
	//
	// +optional
	Ready int32 `json:"ready"`
	// Failing are the others; the condition Ready names one, and why.
	//
	// +optional
	Failing int32 `json:"failing"`
	// TooEarly counts pods that wait for an image because they were made before
	// their account named the secret.
	//
	// +optional
	TooEarly int32 `json:"tooEarly,omitempty"`
	// Registries, in the order of the spec.
	//
	// +optional
	// +listType=atomic
	Registries []RegistryStatus `json:"registries,omitempty"`
	// Conditions: Ready, CredentialsReady.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClusterPullSecret keeps a pull secret in many namespaces.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cps
// +kubebuilder:printcolumn:name="Namespaces",type=integer,JSONPath=`.status.namespaces`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Failing",type=integer,JSONPath=`.status.failing`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterPullSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ClusterPullSecretSpec `json:"spec"`
	Status            PullSecretStatus      `json:"status,omitempty"`
}

// ClusterPullSecretList is a page of them.
//
// +kubebuilder:object:root=true
type ClusterPullSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterPullSecret `json:"items"`
}

// PullSecret keeps a pull secret in its own namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ps
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PullSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              PullSecretSpec   `json:"spec"`
	Status            PullSecretStatus `json:"status,omitempty"`
}

// PullSecretList is a page of them.
//
// +kubebuilder:object:root=true
type PullSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PullSecret `json:"items"`
}
