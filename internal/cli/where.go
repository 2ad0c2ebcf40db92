package cli

import (
	"strings"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

// where are the flags that select repositories and images.
type where struct {
	q        *v1.PlaceQuery
	restrict string
}

func addWhere(cmd *cobra.Command, q *v1.PlaceQuery) *where {
	w := &where{q: q}
	f := cmd.Flags()
	f.StringVar(&q.Repository, "repository", "", "only this `repository`")
	f.StringVar(&q.Namespace, "namespace", "", "only this `namespace`")
	f.StringVar(&w.restrict, "restrict", "", "only this `NAMESPACE[/REPO]`")
	f.BoolVar(&q.IncludePublic, "include-public", false, "also provided images, and those of public namespaces")
	f.BoolVar(&q.IncludePublic, "include-ibm", false, "as --include-public")
	_ = f.MarkHidden("include-ibm") // the flag is there
	return w
}

func (w *where) completeFlags(e env, c *connection) {
	c.completeFlag(e, "repository", repositoryNames)
	c.completeFlag(e, "namespace", namespaceNames)
	c.completeFlag(e, "restrict", namespaceNames)
}

// read checks what was given, and takes the server's host off.
func (w *where) read(s *session, hint string) error {
	if w.restrict != "" {
		if w.q.Namespace != "" || w.q.Repository != "" {
			return usagef(hint, "give one of --restrict, --namespace and --repository")
		}
		text, err := s.trim(w.restrict, hint)
		if err != nil {
			return err
		}
		if strings.Contains(text, "/") {
			w.q.Repository = text
		} else {
			w.q.Namespace = text
		}
	}
	return s.place(&w.q.Repository, &w.q.Namespace, hint)
}

// place checks a repository or a namespace; neither is fine.
func (s *session) place(repository, namespace *string, hint string) (err error) {
	switch {
	case *repository != "" && *namespace != "":
		return usagef(hint, "give --repository or --namespace, not both")
	case *repository != "":
		*repository, err = s.repository(*repository, hint)
	case *namespace != "":
		*namespace, err = parseNamespace(*namespace, hint)
	}
	return err
}
