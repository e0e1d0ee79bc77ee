package agent

import (
	"embed"
	"fmt"

	ui "picket/agent/page"
)

//go:embed words/*.yaml
var wordFiles embed.FS

// wordsIn gives the texts of setup, goodbye and notices in a language, or in English.
func wordsIn(language string) (ui.Words, error) {
	all, err := ui.LoadWords(wordFiles)
	if err != nil {
		return nil, fmt.Errorf("the program's own texts: %w", err)
	}
	if w, ok := all[language]; ok {
		return w, nil
	}
	return all["en"], nil
}
