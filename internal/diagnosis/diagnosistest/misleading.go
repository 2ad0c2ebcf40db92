package diagnosistest

import (
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/diagnosis"
	"fairlead.dev/fairlead/internal/pullsecret"
)

// misleading are pulls in which the nearest cause is the wrong one.
func misleading() []Row {
	return slices.Concat(misleadingLists(), misleadingSecrets(), misleadingWords(), misleadingNames())
}

func unreadable(name string) diagnosis.NamedSecret {
	return diagnosis.NamedSecret{Name: name, Unreadable: "jo may not get secrets in the namespace shop"}
}

func other() diagnosis.NamedSecret { return there(Secret("other", Config("quay.io", "ann", "s3cret"))) }

func misleadingLists() []Row {
	grown := func(at time.Time) told {
		return func(e *diagnosis.Evidence) {
			e.Account.PullSecrets = []string{"other", "regcred"}
			e.Account.ListOwners = []diagnosis.FieldOwner{{Manager: "kubectl-patch", Operation: "Update", At: at}}
			e.AccountSecrets = []diagnosis.NamedSecret{other(), there(good())}
		}
	}
	return []Row{
		// The account's list had one name when the pod was made, and has two now.
		row("list-has-grown", diagnosis.PatchedAfter, secrets(other()), grown(Now.Add(-time.Minute))),
		row("list-is-older", diagnosis.OwnList, secrets(other()), grown(Now.Add(-2*time.Hour))),
		// A person wrote the list and forgot a name: nobody will overwrite it again.
		row("list-by-hand", diagnosis.NotReferenced, func(e *diagnosis.Evidence) {
			e.Others = []pullsecret.Secret{good()}
			e.Account.PullSecrets = []string{"old"}
			e.Account.ListOwners = []diagnosis.FieldOwner{{Manager: "kubectl-patch", Operation: "Update", At: Now.Add(-90 * time.Minute)}}
		}),
		// A plugin's counter goes up for any image: what the pod lacks counts more.
		row("absent-beside-plugin", diagnosis.SecretAbsent, secrets(diagnosis.NamedSecret{Name: "regcred"}), func(e *diagnosis.Evidence) {
			e.Node.PluginErrors = map[string]int{"acme-credentials": 7}
		}),
		row("plugin-of-a-cloud", diagnosis.NoCredentials, func(e *diagnosis.Evidence) {
			e.Node.PluginErrors = map[string]int{"ecr-credential-provider": 2}
		}),
		row("restarted", diagnosis.NoCredentials, func(e *diagnosis.Evidence) { e.Pod.Containers[0].Running = true }),
	}
}

func misleadingSecrets() []Row {
	several := Secret("regcred", `{"auths":{"`+Host+`":{"auth":"`+Auth("ann", "s3cret")+`"},"quay.io":{"auth":"`+Auth("ann", "s3cret")+`"}}}`)
	return []Row{
		row("unreadable", diagnosis.CouldNotTell, secrets(unreadable("regcred"), unreadable("regcred"))),
		row("unreadable-public", diagnosis.CouldNotTell, secrets(unreadable("regcred")), answered(answers(diagnosis.Pulls))),
		row("unreadable-malformed", diagnosis.Malformed, secrets(unreadable("regcred")), waits("illegal base64 data at input byte 4", "")),
		// One secret is missing, and another fits and is refused.
		row("absent-beside-refused", diagnosis.WrongPassword, secrets(diagnosis.NamedSecret{Name: "gone"}, there(good())), answered(answers(diagnosis.Unauthorized, diagnosis.Unauthorized))),
		row("absent-beside-dns", diagnosis.NoDNS, secrets(diagnosis.NamedSecret{Name: "gone"}), answered(answers(diagnosis.NoHost)), waits("ErrImagePull", "")),
		// The password of a robot is right: it signs in, and lacks the scope.
		row("robot-without-scope", diagnosis.ScopeMissing, secrets(there(Secret("regcred", Config(Host, "robot", "s3cret")))), answered(answers(diagnosis.Unauthorized, diagnosis.Forbidden))),
		row("several-entries", diagnosis.WrongPassword, secrets(there(several)), answered(answers(diagnosis.Unauthorized, diagnosis.Unauthorized))),
		row("two-refused", diagnosis.WrongPassword, secrets(there(good()), there(Secret("second", Config(Host, "bob", "s3cret")))), answered(answers(diagnosis.Unauthorized, diagnosis.Unauthorized, diagnosis.Unauthorized))),
		row("named-twice", diagnosis.None, secrets(there(good()), there(good())), answered(answers(diagnosis.Unauthorized, diagnosis.Pulls, diagnosis.Pulls)), waits("", "")),
	}
}

func misleadingWords() []Row {
	volume := diagnosis.Container{Kind: diagnosis.ImageVolume, Name: "data", Image: Host + "/shop/web:none", PullPolicy: "IfNotPresent"}
	pulls := answers(diagnosis.Unauthorized, diagnosis.Pulls)
	noNode := func(e *diagnosis.Evidence) { e.Node = nil }
	return []Row{
		// The limit is one of the node's address, and not of this one.
		row("rate-limit-of-the-node", diagnosis.RateLimit, answered(answers(diagnosis.Pulls)),
			waits("ImagePullBackOff", `failed to pull and unpack image "`+Image+`": failed to resolve image: unexpected status from HEAD request to https://`+Host+`/v2/shop/web/manifests/v1: 429 Too Many Requests`)),
		row("rate-limit-with-account", diagnosis.RateLimit, secrets(there(good())), answered(answers(diagnosis.Unauthorized, diagnosis.RateLimited)), waits("ErrImagePull", "")),
		// Who may not read nodes asks for no platform.
		row("platform-of-unknown-node", diagnosis.WrongPlatform, secrets(there(good())), answered(pulls), noNode,
			waits("ErrImagePull", `failed to pull and unpack image "`+Image+`": no match for platform in manifest: not found`)),
		// After the pull a deadline is not the registry's.
		row("created-too-slowly", diagnosis.None, secrets(there(good())), answered(pulls), waits("CreateContainerError", "context deadline exceeded")),
		// The containers wait for the image of a volume, with its words.
		row("volume-of-another", diagnosis.None, secrets(there(good())), answered(pulls),
			waits("ErrImagePull", `failed to pull and unpack image "`+volume.Image+`": failed to resolve image: `+volume.Image+`: not found`),
			func(e *diagnosis.Evidence) { e.Pod.Containers = append(e.Pod.Containers, volume) }),
		row("unscheduled", diagnosis.None, secrets(there(good())), answered(pulls), waits("", ""), noNode, func(e *diagnosis.Evidence) {
			e.Pod.NodeName = ""
			e.Pod.Events = []diagnosis.Event{{Reason: "FailedScheduling", Message: "0/3 nodes are available: 3 Insufficient cpu."}}
		}),
		// The registry answers, and what it sends its clients to does not.
		row("layers-elsewhere", diagnosis.NoDNS, secrets(there(good())), answered(pulls),
			waits("ErrImagePull", `failed to pull and unpack image "`+Image+`": failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://blobs.example.net/x?y": dial tcp: lookup blobs.example.net: no such host`)),
		// Nothing of this is mended: the node has no room, or a policy of its own.
		row("disk-is-full", diagnosis.CouldNotTell, secrets(there(good())), answered(pulls),
			waits("ErrImagePull", `failed to pull and unpack image "`+Image+`": failed to extract layer sha256:ab: write /var/lib/x: no space left on device`)),
		row("signature", diagnosis.CouldNotTell, secrets(there(good())), answered(pulls),
			waits("SignatureValidationFailed", "image pull failed for "+Host+" because the signature validation failed: Source image rejected: A signature was required, but no signature exists")),
		row("credential-of-the-node", diagnosis.BackOffOnly, answered(answers(diagnosis.Pulls))),
		row("tag-like-a-status", diagnosis.NotFoundThere, image(Host+"/shop/web:v1.401"), answered(answers(diagnosis.NotFound)), waits("ErrImagePull", "reading manifest v1.401 in "+Host+"/shop/web: manifest unknown")),
	}
}

func misleadingNames() []Row {
	arm := answers(diagnosis.Unauthorized, diagnosis.NoPlatform)
	digest := func(e *diagnosis.Evidence) { e.Pod.Containers[0].Image = Image + "@" + string(Digest) }
	return []Row{
		// Docker Hub says of what is not there that it may not be pulled.
		row("hub-typo", diagnosis.NotFoundThere, image("ngnix"), answered(answers(diagnosis.Forbidden)), waits("ErrImagePull", "")),
		row("hub-typo-signed-in", diagnosis.NotFoundThere, image("ngnix"), secrets(there(Secret("regcred", Config("https://index.docker.io/v1/", "ann", "s3cret")))), answered(answers(diagnosis.Forbidden, diagnosis.Forbidden)), waits("ErrImagePull", "")),
		row("hub-of-three-parts", diagnosis.SingleLabel, image("harbor/shop/web:v1"), answered(answers(diagnosis.Forbidden)), waits("ErrImagePull", "")),
		row("platform-of-a-digest", diagnosis.WrongPlatform, digest, secrets(there(good())), answered(arm), func(e *diagnosis.Evidence) {
			e.Answers = map[string]diagnosis.Answer{e.Pod.Containers[0].Image: arm}
		}),
	}
}
