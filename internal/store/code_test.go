package store_test

import (
	"errors"
	"regexp"
	"testing"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// Mail bears the code for ever: it has to lead to the same action after every change.
func TestEveryActionHasACodeThatStays(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, action("Write to the ministry"), action("Call the embassy"), article("A letter from the north wing"))
	codes := map[string]newsletter.ItemID{}
	for _, i := range items(t, s) {
		if i.Kind == newsletter.Article {
			if i.Code != "" {
				t.Errorf("an article has the code %q", i.Code)
			}
			continue
		}
		if !regexp.MustCompile(`^[a-z2-7]{13}$`).MatchString(i.Code) {
			t.Errorf("%q has the code %q", i.Title, i.Code)
		}
		codes[i.Code] = i.ID
	}
	if len(codes) != 2 {
		t.Fatalf("two actions have %d codes", len(codes))
	}
	for code, id := range codes {
		moved := "https://actions.example/moved/" + code
		if err := s.ChangeItem(t.Context(), id, store.ItemChange{Petition: &moved}, start); err != nil {
			t.Fatal(err)
		}
		if i := must[newsletter.Item](t)(s.ActionByCode(t.Context(), code)); i.ID != id || i.Petition != moved || i.Code != code {
			t.Errorf("the code leads to item %d and %s, want %d and %s", i.ID, i.Petition, id, moved)
		}
	}
}

func TestAnArticleThatBecomesAnActionGetsACode(t *testing.T) {
	s := open(t, t.TempDir())
	post := article("Write to the ministry")
	takeIn(t, s, post)
	post.Kind, post.Petition = newsletter.Action, "https://actions.example/write"
	takeIn(t, s, post)
	i := items(t, s)[0]
	if i.Kind != newsletter.Action {
		t.Fatalf("the item is an %s", i.Kind)
	}
	if got := must[newsletter.Item](t)(s.ActionByCode(t.Context(), i.Code)); got.ID != i.ID {
		t.Errorf("its code leads to item %d, want %d", got.ID, i.ID)
	}
}

func TestCodesOfNoAction(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, action("Write to the ministry"), article("A letter from the north wing"))
	for _, code := range []string{"", "aaaaaaaaaaaaa", "%"} {
		if i, err := s.ActionByCode(t.Context(), code); !errors.Is(err, newsletter.ErrNotFound) {
			t.Errorf("the code %q leads to item %d, %v", code, i.ID, err)
		}
	}
}
