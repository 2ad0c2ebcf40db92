package cli

import (
	"net/url"
	"path/filepath"
	"strings"

	"fairlead.dev/fairlead/internal/pullsecret"
)

// The part of SARIF 2.1.0 (OASIS) that findings need.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Results    []sarifResult `json:"results"`
	ColumnKind string        `json:"columnKind"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID               string    `json:"id"`
	ShortDescription sarifText `json:"shortDescription"`
	FullDescription  sarifText `json:"fullDescription"`
	Help             sarifText `json:"help"`
	Default          struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	RuleIndex int             `json:"ruleIndex"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region *sarifRegion `json:"region,omitempty"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

// sarifOf is a report for the tools that show findings beside the source.
func sarifOf(r report, version string) sarifLog {
	run := sarifRun{Results: []sarifResult{}, ColumnKind: "unicodeCodePoints"}
	run.Tool.Driver = sarifDriver{Name: "fairlead", Version: version}
	index := map[pullsecret.Rule]int{}
	for i, d := range pullsecret.Rules() {
		index[d.Rule] = i
		rule := sarifRule{
			ID: string(d.Rule), ShortDescription: sarifText{d.Title + "."},
			FullDescription: sarifText{d.Title + ". " + d.Effect}, Help: sarifText{d.Fix},
		}
		rule.Default.Level = string(d.Severity) // they are called as in SARIF
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
	}
	for _, f := range r.Findings {
		run.Results = append(run.Results, sarifResult{
			RuleID: string(f.Rule), RuleIndex: index[f.Rule], Level: string(f.Severity),
			Message:   sarifText{strings.Join([]string{f.Message, f.Effect, f.Fix}, " ")},
			Locations: []sarifLocation{sarifPlace(f)},
		})
	}
	return sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

// sarifPlace is where a finding is: a line of a file, or a secret.
func sarifPlace(f pullsecret.Finding) sarifLocation {
	var at sarifLocation
	if f.Secret != "" {
		at.Logical = []sarifLogical{{f.Secret, "object"}}
	}
	if f.File != "" {
		p := sarifPhysical{}
		u := url.URL{Path: filepath.ToSlash(f.File)}
		if filepath.IsAbs(f.File) {
			u.Scheme = "file"
		}
		p.Artifact.URI = u.String()
		if f.Line > 0 {
			p.Region = &sarifRegion{f.Line}
		}
		at.Physical = &p
	}
	return at
}
