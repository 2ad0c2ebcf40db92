package wire

import (
	"strconv"
	"strings"

	"fairlead.dev/fairlead/internal/oci"
)

// ByteRange is Length bytes from Start.
type ByteRange struct {
	Start, Length int64
}

// maxRanges bounds the ranges of one request (RFC 9110 14.2 warns of
// many small or overlapping ones).
const maxRanges = 16

// ParseRange reads a Range header against content of size bytes. It returns
// nil when the header is to be ignored (another unit, not of the grammar, too
// many ranges, or ranges that together are more than the content: the whole
// is then sent), and ok=false when no range can be satisfied (416).
// Source: RFC 9110 14.1.2, 14.2.
func ParseRange(header string, size int64) (ranges []ByteRange, ok bool) {
	set, found := strings.CutPrefix(header, "bytes=")
	if !found {
		return nil, true
	}
	specs := strings.Split(set, ",")
	if len(specs) > maxRanges {
		return nil, true
	}
	var total int64
	for _, s := range specs {
		s = strings.Trim(s, " \t")
		if s == "" {
			continue
		}
		r, valid, satisfiable := parseRangeSpec(s, size)
		if !valid {
			// A range that ends before it begins is answered 416 rather than
			// with the whole, as the conformance suite asks.
			return nil, !isRange(s)
		}
		if satisfiable {
			ranges = append(ranges, r)
			total += r.Length
		}
	}
	if len(ranges) == 0 {
		return nil, false
	}
	if len(ranges) > 1 && total > size {
		return nil, true
	}
	return ranges, true
}

// isRange tells whether both ends of first-last are numbers.
func isRange(s string) bool {
	a, b, _ := strings.Cut(s, "-")
	_, errA := strconv.ParseUint(a, 10, 63)
	_, errB := strconv.ParseUint(b, 10, 63)
	return errA == nil && errB == nil
}

func parseRangeSpec(s string, size int64) (r ByteRange, valid, satisfiable bool) {
	first, last, found := strings.Cut(s, "-")
	if !found {
		return r, false, false
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return r, false, false
		}
		suffix := min(int64(n), size)
		return ByteRange{size - suffix, suffix}, true, suffix > 0
	}
	a, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return r, false, false
	}
	start, end := int64(a), size-1
	if last != "" {
		b, err := strconv.ParseUint(last, 10, 63)
		if err != nil || int64(b) < start {
			return r, false, false
		}
		end = min(end, int64(b))
	}
	if start >= size {
		return r, true, false
	}
	return ByteRange{start, end - start + 1}, true, true
}

// ParseContentRange reads the Content-Range of a chunk, "<first>-<last>",
// both inclusive; "bytes <first>-<last>/<size>" is understood, too.
// Error: BLOB_UPLOAD_INVALID.
func ParseContentRange(header string) (ByteRange, error) {
	s := strings.TrimPrefix(header, "bytes ")
	s, _, _ = strings.Cut(s, "/")
	first, last, found := strings.Cut(s, "-")
	a, errA := strconv.ParseUint(first, 10, 63)
	b, errB := strconv.ParseUint(last, 10, 63)
	if !found || errA != nil || errB != nil || b < a {
		return ByteRange{}, oci.Errorf(oci.CodeBlobUploadInvalid, "the Content-Range %q is not of the form <first>-<last>, both inclusive", oci.Clip(header))
	}
	return ByteRange{int64(a), int64(b-a) + 1}, nil
}

// UploadRange is the Range header of an upload that stands at offset:
// "0-<last byte>". An empty upload is "0-0", as every client knows it.
func UploadRange(offset int64) string {
	return "0-" + strconv.FormatInt(max(offset-1, 0), 10)
}
