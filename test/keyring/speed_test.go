package keyring_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"

	"fairlead.dev/fairlead/keyring"
)

// twenty is a pod's secrets: twenty entries in five secrets, and an image
// that two of them are for.
func twenty() ([]keyring.Source, string) {
	var sources []keyring.Source
	for i := range 5 {
		sources = append(sources, keys(fmt.Sprint("s", i), fmt.Sprintf("registry-%d.example.com", i), fmt.Sprintf("https://registry-%d.example.com:5000/team/", i),
			fmt.Sprintf("*.region-%d.example.com/team", i), fmt.Sprintf("registry-%d.example.com/team-%d/app", i, i)))
	}
	return sources, "registry-3.example.com/team-3/app:v1"
}

func kubeletRing(tb testing.TB, sources []keyring.Source) credentialprovider.DockerKeyring {
	var pod []corev1.Secret
	for _, s := range sources {
		pod = append(pod, corev1.Secret{Type: corev1.SecretType(s.Type), Data: s.Data})
	}
	ring, err := secrets.MakeDockerKeyring(pod, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}

func ours(tb testing.TB) func() int {
	sources, name := twenty()
	image, err := keyring.ParseImage(name)
	if err != nil {
		tb.Fatal(err)
	}
	ring := keyring.New(sources...)
	return func() int { return len(ring.Match(image)) }
}

func theirs(tb testing.TB) func() int {
	sources, name := twenty()
	image, err := keyring.ParseImage(name)
	if err != nil {
		tb.Fatal(err)
	}
	ring, repository := kubeletRing(tb, sources), image.Repository()
	return func() int {
		creds, _ := ring.Lookup(repository)
		return len(creds)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, side := range []struct {
		name string
		make func(testing.TB) func() int
	}{{"ours", ours}, {"kubelet", theirs}} {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			lookUp := side.make(b)
			for b.Loop() {
				if lookUp() != 2 {
					b.Fatal("not two credentials")
				}
			}
		})
	}
}

// TestSpeedOfLookUp: among twenty entries we are five times as fast as the
// kubelet. The median of seven turns each, taken in turns.
func TestSpeedOfLookUp(t *testing.T) {
	if testing.Short() || os.Getenv(covered) != "" {
		t.Skip("a measurement")
	}
	const turns, wanted = 7, 5
	var ratios []float64
	for range turns {
		var cost [2]float64
		for i, side := range []func(testing.TB) func() int{ours, theirs} {
			lookUp := side(t)
			const rounds = 2000
			took := timed(func() {
				for range rounds {
					lookUp()
				}
			})
			cost[i] = float64(took.Nanoseconds()) / rounds
		}
		ratios = append(ratios, cost[1]/cost[0])
		t.Logf("ours %.0f ns, the kubelet's %.0f ns", cost[0], cost[1])
	}
	slices.Sort(ratios)
	median := ratios[turns/2]
	t.Logf("the kubelet takes %.1f times as long", median)
	if median < wanted {
		t.Errorf("%.1f times, %d wanted", median, wanted)
	}
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
