package diagnosis

import (
	"regexp"
	"strings"

	"fairlead.dev/fairlead/keyring"
)

// Symptom is what a node's own words say about a failed pull.
type Symptom string

// The symptoms. Several causes share one.
const (
	NoSymptom       Symptom = ""
	SawNoCredential Symptom = "no-credential" // the registry wants one, none was sent
	SawUnauthorized Symptom = "unauthorized"  // one was sent and refused
	SawForbidden    Symptom = "forbidden"     // known, and not allowed this
	SawNotFound     Symptom = "not-found"
	SawRateLimit    Symptom = "rate-limited"
	SawUnknownCA    Symptom = "unknown-ca"
	SawBadTLS       Symptom = "bad-tls"
	SawPlainHTTP    Symptom = "plain-http"
	SawNoHost       Symptom = "no-such-host"
	SawRefused      Symptom = "refused"
	SawTimeout      Symptom = "timeout"
	SawServerError  Symptom = "server-error"
	SawNoPlatform   Symptom = "no-platform"
	SawBadSecret    Symptom = "bad-secret" // the kubelet could not decode one
	SawBadName      Symptom = "bad-name"   // InvalidImageName
	SawNeverPull    Symptom = "never-pull" // ErrImageNeverPull
	SawBackOff      Symptom = "back-off"   // nothing but that it waits
	SawUnknown      Symptom = "unknown"    // a pull failed, for a reason that no rule knows
)

// telling says that a node's words tell what the registry did.
func (s Symptom) telling() bool {
	switch s {
	case NoSymptom, SawBackOff, SawUnknown, SawNeverPull, SawBadName, SawBadSecret:
		return false
	}
	return true
}

// denies says that the registry wanted a credential, or another one.
func (s Symptom) denies() bool {
	return s == SawNoCredential || s == SawUnauthorized || s == SawForbidden
}

// words are matched without regard to case, the first row that fits wins.
// The texts of container runtimes change with every version, so each row asks
// for as little as tells it apart. containerd 1.x and 2.x say "failed to
// resolve reference" and "failed to resolve image" before them, CRI-O "reading
// manifest" or "pinging container registry".
var words = []struct {
	symptom Symptom
	all     []string
}{
	{SawUnknownCA, []string{"certificate signed by unknown authority"}},
	{SawPlainHTTP, []string{"server gave http response to https client"}},
	{SawPlainHTTP, []string{"first record does not look like a tls handshake"}},
	{SawBadTLS, []string{"x509:"}},
	{SawBadTLS, []string{"tls: "}},
	{SawNoHost, []string{"no such host"}},
	{SawNoHost, []string{"server misbehaving"}},
	{SawRefused, []string{"connection refused"}},
	{SawTimeout, []string{"i/o timeout"}},
	{SawTimeout, []string{"context deadline exceeded"}},
	{SawTimeout, []string{"client.timeout"}},
	{SawTimeout, []string{"tls handshake timeout"}},
	{SawRateLimit, []string{"toomanyrequests"}},
	{SawRateLimit, []string{"429 too many requests"}},
	{SawRateLimit, []string{"too many requests"}},
	{SawNoPlatform, []string{"no match for platform in manifest"}},
	{SawNoPlatform, []string{"no image found in", "for architecture"}},
	{SawNoPlatform, []string{"no matching manifest for"}},
	{SawNoPlatform, []string{"exec format error"}},
	{SawForbidden, []string{"insufficient_scope"}},
	{SawForbidden, []string{"requested access to the resource is denied"}},
	{SawNoCredential, []string{"no basic auth credentials"}},
	{SawNoCredential, []string{"failed to fetch anonymous token"}},
	{SawUnauthorized, []string{"invalid_token"}},
	{SawUnauthorized, []string{"invalid username/password"}},
	{SawUnauthorized, []string{" 401"}},
	{SawUnauthorized, []string{"unauthorized"}},
	{SawUnauthorized, []string{"authentication required"}},
	{SawForbidden, []string{" 403"}},
	{SawForbidden, []string{"pull access denied"}},
	{SawForbidden, []string{"denied"}},
	{SawNotFound, []string{"manifest unknown"}},
	{SawNotFound, []string{"name unknown"}},
	{SawNotFound, []string{"repository name not known"}},
	{SawNotFound, []string{": not found"}},
	{SawNotFound, []string{" 404"}},
	{SawServerError, []string{"unexpected status", " 50"}},
	{SawServerError, []string{"unexpected http status", " 50"}},
	{SawServerError, []string{"500 internal server error"}},
	{SawServerError, []string{"502 bad gateway"}},
	{SawServerError, []string{"503 service unavailable"}},
	{SawBadSecret, []string{"illegal base64 data at input byte"}},
	{SawBadSecret, []string{"unable to parse auth field"}},
	{SawBadSecret, []string{"cannot unmarshal"}},
	{SawBadSecret, []string{"looking for beginning of"}},
	{SawBadSecret, []string{"unexpected end of json input"}},
	{SawBadSecret, []string{"invalid character"}},
}

// SymptomOf reads one text of a kubelet or a container runtime.
func SymptomOf(text string) Symptom {
	low := names.ReplaceAllString(strings.ToLower(text), "image")
rows:
	for _, w := range words {
		for _, part := range w.all {
			if !strings.Contains(low, part) {
				continue rows
			}
		}
		return w.symptom
	}
	return NoSymptom
}

// names are what people chose, and may hold any of the words: an image's name
// in quotes, digests, the path of a URL.
var names = regexp.MustCompile(`"[^"\s]*[/:][^"\s]*"|sha256:[0-9a-f]+|/v2/[^\s:"?]+`)

// failsToPull says that a container waits with this reason because of its
// image. What comes after the pull, such as CreateContainerError, does not
// count: its "context deadline exceeded" is none of the registry.
func failsToPull(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed", "InvalidImageName", "ErrImageNeverPull":
		return true
	}
	// Since 1.33 a malformed secret's raw text is the reason itself.
	return SymptomOf(reason) == SawBadSecret
}

// symptomIn is symptomOf a container of a pod. While an image volume is not
// pulled the containers wait, with the words about the volume's image: they
// are the volume's.
func (p *Pod) symptomIn(c Container) (s Symptom, text string) {
	if c.Kind == ImageVolume {
		for _, o := range p.Containers {
			if s, text := symptomOf(o, p.Events); o.Image != c.Image && mentions(text, c.Image) {
				return s, text
			}
		}
		return NoSymptom, ""
	}
	s, text = symptomOf(c, p.Events)
	for _, o := range p.Containers {
		if o.Kind == ImageVolume && mentions(text, o.Image) && !mentions(text, c.Image) {
			return NoSymptom, ""
		}
	}
	return s, text
}

// mentions says that a text of the node is about an image.
func mentions(text, image string) bool {
	if text == "" || image == "" {
		return false
	}
	if strings.Contains(text, image) {
		return true
	}
	i, err := keyring.ParseImage(image)
	return err == nil && i.Digest == "" && strings.Contains(text, i.Repository()+":"+i.Tag)
}

// symptomOf reads what a container waits for and the events about it; text is
// where it was found.
func symptomOf(c Container, events []Event) (s Symptom, text string) {
	switch {
	case !failsToPull(c.Reason):
		return NoSymptom, ""
	case c.Reason == "InvalidImageName":
		return SawBadName, c.Message
	case c.Reason == "ErrImageNeverPull":
		return SawNeverPull, c.Message
	case SymptomOf(c.Reason) == SawBadSecret:
		return SawBadSecret, c.Reason
	}
	if s := SymptomOf(c.Message); s != NoSymptom {
		return s, c.Message
	}
	// Before 1.32 the message of a back-off holds no error: the events do.
	for i := len(events) - 1; i >= 0; i-- {
		ev := events[i]
		if !ev.about(c) || ev.Reason != "Failed" && ev.Reason != "FailedToPull" {
			continue
		}
		if s := SymptomOf(ev.Message); s != NoSymptom {
			return s, ev.Message
		}
	}
	if c.Reason == "ImagePullBackOff" {
		return SawBackOff, c.Message
	}
	return SawUnknown, c.Message
}

// about says whether the event is about the container, or about the whole pod.
func (e Event) about(c Container) bool {
	return e.FieldPath == "" || strings.HasSuffix(e.FieldPath, "{"+c.Name+"}")
}
