package account

// ValueOf derives a value; for tests of its form.
func ValueOf(k *ValueKeys, key, id string, generation int) (string, bool) {
	return k.value(key, id, generation)
}
