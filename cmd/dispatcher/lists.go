package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// list finds a list by its id.
func (o *office) list(id string) (newsletter.List, error) {
	var known []string
	for i, l := range o.lists {
		if l.ID == id || o.config.Lists[i].ID == id {
			return l, nil
		}
		if slices.Contains(l.Former, id) {
			return newsletter.List{}, usagef("the list %q was renamed: it is called %q now", id, l.ID)
		}
		known = append(known, l.ID)
	}
	return newsletter.List{}, usagef("there is no list %q in the config; it has %s", id, strings.Join(known, ", "))
}

// liveList finds a list that is not retired by its id.
func (o *office) liveList(id string) (newsletter.List, error) {
	l, err := o.list(id)
	if err == nil && l.Retired {
		err = usagef("the list %q is retired: nothing is made or sent for it, and nobody can join it; take \"retired: true\" out of the config to have it back", id)
	}
	return l, err
}

// liveLists are the lists that editions are made for.
func (o *office) liveLists() []newsletter.List {
	return slices.DeleteFunc(slices.Clone(o.lists), func(l newsletter.List) bool { return l.Retired })
}

// recall adds to the lists what they were called before. A list that the config renames has its new id, whether the database knows it by that
// yet or not.
func (o *office) recall(ctx context.Context) error {
	renames, err := o.store.Renames(ctx)
	if err != nil {
		return err
	}
	pending, err := o.toBeRenamed(ctx)
	if err != nil {
		return err
	}
	for i, c := range o.config.Lists {
		l, old := &o.lists[i], c.ID
		if pending[c.Was] {
			old = c.Was
		}
		l.ID, l.Former = c.ID, nil
		for _, r := range renames {
			if r.List != old {
				continue
			}
			if len(l.Former) == 0 {
				l.Former = []string{r.Header}
			}
			if r.Former != r.Header {
				l.Former = append(l.Former, r.Former)
			}
		}
		if old != c.ID {
			l.Former = append(l.Former, old)
		}
	}
	return nil
}

// toBeRenamed are the ids by which the database still knows lists that have another one in the config, and can have it.
func (o *office) toBeRenamed(ctx context.Context) (map[string]bool, error) {
	if !slices.ContainsFunc(o.config.Lists, func(l config.List) bool { return l.Was != "" }) {
		return nil, nil
	}
	known, err := o.store.KnownLists(ctx)
	if err != nil {
		return nil, err
	}
	renames, err := o.store.Renames(ctx)
	if err != nil {
		return nil, err
	}
	now := map[string]string{} // by the former id
	for _, r := range renames {
		now[r.Former] = r.List
	}
	pending := map[string]bool{}
	for _, l := range o.config.Lists {
		free := now[l.ID] == "" || now[l.ID] == l.Was
		if l.Was != "" && known[l.Was].Used && !known[l.ID].Used && now[l.Was] == "" && free {
			pending[l.Was] = true
		}
	}
	return pending, nil
}

// goByNames has a command's lists go by the ids that the database knows them by: one that the config renames has its old id until serve takes the
// config over.
func (o *office) goByNames(ctx context.Context) error {
	if err := o.recall(ctx); err != nil {
		return err
	}
	pending, err := o.toBeRenamed(ctx)
	for i, l := range o.config.Lists {
		if pending[l.Was] {
			o.lists[i].ID = l.Was
		}
	}
	return err
}

// renameLists gives lists the ids that the config has for them now, and says so. Nothing else may decide slots meanwhile; what is on its way
// goes on. All are renamed or, after an error, none. A list whose new id is used stays as it is, of which vanished tells.
func (o *office) renameLists(ctx context.Context) error {
	var lists []store.Rename
	for _, l := range o.config.Lists {
		if l.Was != "" {
			lists = append(lists, store.Rename{Former: l.Was, List: l.ID})
		}
	}
	renamed, err := o.store.RenameLists(ctx, lists, o.now())
	for _, r := range renamed {
		o.log.Info("list renamed", "list", r.List, "was", r.Former)
	}
	if err != nil {
		return errors.Join(err, o.recall(ctx))
	}
	if err := o.recall(ctx); err != nil { // what they were called stays as it was reckoned before
		o.log.Warn("looking for the config's lists failed", "error", err)
	}
	return nil
}

// vanished are the ids that the config must not do without or must not have: those of lists whose readers it forgets, and those that cannot be
// had any more.
func (o *office) vanished(ctx context.Context) (config.Problems, error) {
	known, err := o.store.KnownLists(ctx)
	if err != nil {
		return nil, err
	}
	renames, err := o.store.Renames(ctx)
	if err != nil {
		return nil, err
	}
	var problems config.Problems
	kept := map[string]bool{}
	for i, l := range o.config.Lists {
		kept[l.ID], kept[l.Was] = true, true
		key := fmt.Sprintf("lists[%d]", i)
		former := slices.IndexFunc(renames, func(r store.Rename) bool { return r.Former == l.ID })
		switch {
		case l.Was != "" && known[l.Was].Used && known[l.ID].Used:
			problems = append(problems, o.config.Problem(key+".was", l.Was, "is used in the database, and so is the id "+l.ID+": two lists cannot become one",
				"was is for an id that is new; keep both lists, or say retired: true of one"))
		case former >= 0 && l.Was != renames[former].List:
			now := renames[former].List
			problems = append(problems, o.config.Problem(key+".id", l.ID, "is what the list "+now+" was called before, and links in its old mail bear that id",
				"choose another id, or write was: "+now+" beside it to give the list its old id back"))
			kept[now] = true // told with this
		}
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		if n := known[id].Readers; n > 0 && !kept[id] {
			problems = append(problems, o.config.Problem("lists", "", fmt.Sprintf("are without %s, which has %s in the database", id, counted(n, "reader")),
				fmt.Sprintf("put it back, write was: %s beside its new id, or put it back with retired: true", id)))
		}
	}
	return problems, nil
}

// checkLists tells readers whom the config forgets.
func (f *findings) checkLists(ctx context.Context, o *office) {
	problems, err := o.vanished(ctx)
	if err != nil {
		f.error("lists", "%s", redacted(err))
	}
	for _, p := range problems {
		f.error("config", "%s", p)
	}
}
