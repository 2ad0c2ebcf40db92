package v1

import "encoding/json"

// ProblemType is the content type of a Problem.
const ProblemType = "application/problem+json"

// Problem is why a request failed (RFC 9457).
type Problem struct {
	// Title is the status in words.
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is a sentence for a person: what is wrong and what to do.
	Detail string `json:"detail"`
	// Code names the kind of failure for programs, such as NAME_UNKNOWN; ""
	// when there is no name for it.
	Code string `json:"code,omitempty"`
}

// LinesType is the content type of the answer of a long job: one Line of JSON
// per line.
const LinesType = "application/x-ndjson"

// Line has one of its fields. Progress comes any number of times; then, as
// the last line, Result or Error. Without such a last line the job was cut
// off.
type Line struct {
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *Problem        `json:"error,omitempty"`
}
