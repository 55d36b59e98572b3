package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// What a larger value of a figure means.
type sense int

const (
	worse sense = iota
	better
	neither // a fact, not a merit
)

func senseOf(figure string) sense {
	for _, s := range []string{"pods/min", "MB/s", "of null server"} {
		if strings.Contains(figure, s) {
			return better
		}
	}
	for _, s := range []string{"size reported", "lines lost", "lines split", "bytes lost", "per-pod processes", "pause+sleep", "fails", "stage sum", "GETs"} {
		if strings.Contains(figure, s) && !strings.Contains(figure, "per-pod processes PSS") {
			return neither
		}
	}
	return worse
}

// best is the round least disturbed: noise only ever makes a figure worse.
func (f *Figure) best(s sense) float64 {
	if s == better {
		return f.Max
	}
	return f.Min
}

// report prints result files side by side. The first is the runtime that the
// others are compared with: a ratio above 1 says how many times better it did,
// in the best round of each.
func report(w io.Writer, files []string) error {
	var all []*Results
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		r := &Results{}
		if err = json.Unmarshal(b, r); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil
	}
	for _, suite := range []string{"startup", "latency", "rate", "exec", "streaming", "density", "logs", "pull"} {
		seen := map[string]bool{}
		var names []string
		rounds := 0
		for _, r := range all {
			s := r.Suites[suite]
			if s == nil {
				continue
			}
			for _, n := range s.Order {
				rounds = max(rounds, len(s.Figures[n].Rounds))
				if !seen[n] {
					seen[n] = true
					names = append(names, n)
				}
			}
		}
		if len(names) == 0 {
			continue
		}
		fmt.Fprintf(w, "### %s\n\nRounds: %d.\n\n| figure |", suite, rounds)
		for i, r := range all {
			fmt.Fprintf(w, " %s |", strings.TrimSpace(r.Label+" "+r.Version))
			if i > 0 {
				fmt.Fprintf(w, " ratio |")
			}
		}
		fmt.Fprintf(w, "\n|---|---:|%s\n", strings.Repeat("---:|---:|", len(all)-1))
		for _, n := range names {
			fmt.Fprintf(w, "| %s |", n)
			sn := senseOf(n)
			var first *Figure
			for i, r := range all {
				var f *Figure
				if s := r.Suites[suite]; s != nil {
					f = s.Figures[n]
				}
				if f == nil {
					fmt.Fprint(w, " - |")
				} else {
					fmt.Fprintf(w, " %s / %s |", short(f.best(sn)), short(f.Median))
				}
				if i == 0 {
					first = f
				} else {
					fmt.Fprintf(w, " %s |", ratio(first, f, sn))
				}
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
	}
	return nil
}

func ratio(ours, theirs *Figure, s sense) string {
	if ours == nil || theirs == nil || s == neither {
		return ""
	}
	a, b := theirs.best(s), ours.best(s)
	if s == better {
		a, b = b, a
	}
	if a <= 0 || b <= 0 {
		return ""
	}
	r := a / b
	if r >= 10 {
		return fmt.Sprintf("%.0f", r)
	}
	if r < 0.1 {
		return fmt.Sprintf("%.2g", r)
	}
	return fmt.Sprintf("%.2f", r)
}

func short(v float64) string {
	a := max(v, -v)
	switch {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
