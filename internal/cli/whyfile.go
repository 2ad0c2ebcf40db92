package cli

import "fairlead.dev/fairlead/internal/diagnosis"

func (w *why) fromFiles() ([]diagnosis.Evidence, error) { return nil, nil }
