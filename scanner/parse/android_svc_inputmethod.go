package parse

import "strings"

// InputMethods is what the input method service says of keyboards, for the user in front.
type InputMethods struct {
	Installed []string // components, package/class
	Current   string   // component; empty when none was chosen
	Line      int      // 1-based, of Current; 0 without
}

// InputMethodDump reads dumpsys input_method of Android 4 to 16. Which keyboards are switched on
// it does not print: that is the setting enabled_input_methods.
func InputMethodDump(b []byte) (InputMethods, error) {
	if err := ServiceRefusal(b); err != nil {
		return InputMethods{}, err
	}
	var out InputMethods
	known := false
	seen := map[string]bool{}
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		known = known || strings.HasPrefix(text, "Current Input Method Manager state") || strings.HasPrefix(text, "Input Methods:") || strings.HasPrefix(text, "Input method client state")
		if rest, ok := strings.CutPrefix(text, "mId="); ok {
			id, _, _ := strings.Cut(rest, " ")
			if c, ok := flatComponent(id); ok && !seen[c] && len(out.Installed) < 4096 {
				seen[c] = true
				out.Installed = append(out.Installed, c)
			}
			return
		}
		for _, key := range []string{"mCurMethodId", "mSelectedMethodId", "mCurrentMethodId"} {
			if c, ok := flatComponent(valueOf(text, key)); ok && out.Current == "" {
				out.Current, out.Line = c, n
			}
		}
	})
	if !known {
		return InputMethods{}, ErrOtherFormat
	}
	return out, nil
}
