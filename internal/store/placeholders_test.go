package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// SQLite takes $1 for a name and numbers names as they first appear, PostgreSQL takes it for a number: a statement means the same to
// both only if its placeholders first appear in order.
func TestPlaceholdersFirstAppearInOrder(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	placeholder := regexp.MustCompile(`\$(\d+)`)
	for _, name := range files {
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				return true
			}
			highest := 0
			for _, m := range placeholder.FindAllStringSubmatch(text.Value, -1) {
				n, _ := strconv.Atoi(m[1])
				if n > highest+1 {
					t.Errorf("%s: $%d appears before $%d", set.Position(text.Pos()), n, highest+1)
				}
				highest = max(highest, n)
			}
			return true
		})
	}
}
