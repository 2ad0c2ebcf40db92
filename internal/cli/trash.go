package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	v1 "fairlead.dev/fairlead/api/v1"
)

func newTrash(e env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "trash",
		Short: "List, restore and purge what was deleted",
		Long: `What is deleted (a tag, a manifest, a repository, a namespace) is hidden at once
and kept in the trash until its time is over. Until then it can come back.`,
		Example: `  fairlead trash list
  fairlead trash restore acme/web:1.0`,
	}, newTrashList(e), newTrashRestore(e), newTrashPurge(e))
}

// addPlace gives cmd the flags that name a repository or a namespace.
func addPlace(cmd *cobra.Command, repository, namespace *string, verb string) {
	cmd.Flags().StringVar(repository, "repository", "", verb+" of this `repository`")
	cmd.Flags().StringVar(namespace, "namespace", "", verb+" of this `namespace`")
}

func newTrashList(e env) *cobra.Command {
	var q v1.TrashQuery
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was deleted and can come back, newest first",
		Example: `  fairlead trash list
  fairlead trash list --repository acme/web --name 1.0
  fairlead trash list --namespace acme --all -o json`,
		Args: noArgs,
	}
	l := &listing{out: addOutput(cmd)}
	addPlace(cmd, &q.Repository, &q.Namespace, "only what was")
	cmd.Flags().StringVar(&q.Name, "name", "", "only what holds this `tag or digest`")
	complete(cmd, "name")
	l.paging = addPaging(cmd)
	c := addConnection(cmd, e, "trash")
	c.completePlace(e)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(cmd); err != nil {
			return err
		}
		return c.withAny(e, "list the trash", func(ctx context.Context, s *session) error {
			if err := s.place(&q.Repository, &q.Namespace, "fairlead trash list --help"); err != nil {
				return err
			}
			return list(e, l, "entries", trashView, func(next string, limit int) ([]v1.TrashEntry, string, error) {
				q.Next, q.Limit = next, limit
				p, err := s.upkeep.Trash(ctx, q)
				return p.Items, p.Next, err
			})
		})
	}
	return cmd
}

var trashView = view[v1.TrashEntry]{
	head: []string{"ID", "KIND", "WHAT", "DELETED", "BY", "EXPIRES", "MANIFESTS", "TAGS", "SIZE"},
	row: func(t v1.TrashEntry, l look) []string {
		return []string{
			strconv.FormatInt(t.ID, 10), t.Kind, full(t.Repository, brief(t.Name, l.whole)), moment(t.Deleted), t.DeletedBy,
			moment(t.Expires), strconv.Itoa(t.Manifests), strconv.Itoa(t.Tags), size(t.Bytes),
		}
	},
	name: func(t v1.TrashEntry) string { return strconv.FormatInt(t.ID, 10) },
}

func newTrashPurge(e env) *cobra.Command {
	var all, force bool
	cmd := &cobra.Command{
		Use:   "purge ID | --all",
		Short: "Forget an entry of the trash for good, or all of them",
		Long: `Forget an entry of the trash, or all of them: they cannot come back any more.
The next sweeps free the space of what nothing else refers to.

A person is asked first; in scripts --force is needed.`,
		Example: `  fairlead trash purge 12
  fairlead trash purge --all --force`,
		Args:              cobra.ArbitraryArgs, // RunE checks them with the flags
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addOutput(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "purge everything")
	cmd.Flags().BoolVar(&force, "force", false, "do not ask")
	c := addConnection(cmd, e, "trash")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 || (len(args) == 1) == all {
			return usagef("fairlead trash list", "say what to purge: one ID of the list, or --all")
		}
		o, question, command := v1.PurgeOptions{All: true}, "Purge everything in the trash? None of it can come back.", "fairlead trash purge --all"
		if !all {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			o = v1.PurgeOptions{ID: id}
			question, command = fmt.Sprintf("Purge entry %d of the trash? It cannot come back.", id), fmt.Sprintf("fairlead trash purge %d", id)
		}
		if err := confirm(cmd.Context(), e, force, command, question); err != nil {
			return failed("purge the trash", err)
		}
		return c.withAny(e, "purge the trash", func(ctx context.Context, s *session) error {
			r, err := s.upkeep.Purge(ctx, o)
			if err != nil {
				return withHint(err, "fairlead trash list")
			}
			return out.print(e.stdout, r, func(w io.Writer) {
				fmt.Fprintf(w, "Purged %s. The next sweeps free the space.\n", count(r.Entries, "entry", "entries"))
			})
		})
	}
	return cmd
}

// parseID reads an entry's number.
func parseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, usagef("fairlead trash list", "%q is no ID of an entry of the trash", text)
	}
	return id, nil
}
