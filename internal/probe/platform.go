package probe

import (
	"slices"
	"strconv"
	"strings"

	"fairlead.dev/fairlead/internal/diagnosis"
)

// runs says whether a node finds an image of its own among these; the zero
// node asks for none. Source: github.com/containerd/platforms, Only.
func runs(node diagnosis.Platform, images []diagnosis.Platform) bool {
	if node == (diagnosis.Platform{}) {
		return true
	}
	node = normal(node)
	return slices.ContainsFunc(images, func(p diagnosis.Platform) bool { return fits(node, normal(p)) })
}

// normal spells one platform in one way.
func normal(p diagnosis.Platform) diagnosis.Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	case "i386":
		p.Architecture = "386"
	}
	if p.Variant != "" && p.Variant[0] != 'v' {
		p.Variant = "v" + p.Variant
	}
	switch {
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	case p.Architecture == "amd64" && p.Variant == "v1", p.Architecture == "386":
		p.Variant = ""
	case p.Architecture == "arm64" && (p.Variant == "" || p.Variant == "v8.0"):
		p.Variant = "v8"
	case p.Architecture == "arm64" && p.Variant == "v9.0":
		p.Variant = "v9"
	}
	return p
}

// fits says whether a node runs an image; both are normal.
func fits(node, image diagnosis.Platform) bool {
	switch {
	case node.OS != image.OS:
		return false
	case node == image:
		return true
	case node.Architecture == "amd64" && image.Architecture == "386":
		return true
	case node.Architecture == "arm64" && image.Architecture == "arm":
		return level(image.Variant) <= level("v8")
	case node.Architecture != image.Architecture:
		return false
	}
	switch node.Architecture {
	case "arm64": // v9.x runs v8.(x+5)
		n, i := level(node.Variant), level(image.Variant)
		if n >= level("v9") && i < level("v9") {
			return i <= n-level("v9")+level("v8.5")
		}
		return i <= n
	case "amd64", "arm":
		return level(image.Variant) <= level(node.Variant)
	}
	return false
}

// level orders the variants: v8.2 is 802, none is 0; what cannot be read runs
// nowhere.
func level(variant string) int {
	if variant == "" {
		return 0
	}
	major, minor, _ := strings.Cut(strings.TrimPrefix(variant, "v"), ".")
	m, err := strconv.Atoi(major)
	if err != nil || m < 0 || m > 99 {
		return 1 << 20
	}
	n, err := strconv.Atoi(minor)
	if minor != "" && (err != nil || n < 0 || n > 99) {
		return 1 << 20
	}
	return 100*m + n
}
