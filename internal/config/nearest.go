package config

import "strings"

// nearest is the known name that was most likely meant, or empty when none is near.
func nearest(name string, known []string) string {
	if len(name) > 64 { // no slip of the pen, and not worth the work
		return ""
	}
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// distance is how many slips turn a into b: a letter put in, left out or replaced, or two
// neighbours exchanged (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(replaced, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// didYouMean is the cure for a name that is not known: the nearest that is, or all of them.
func didYouMean(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return `did you mean "` + near + `"?`
	}
	return "choose one of: " + strings.Join(known, ", ")
}
