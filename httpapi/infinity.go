package httpapi

// Infinity has no fields of its own. Its clients send the same request to the same path as Cohere's and Jina's, but
// want a document as a string, not an object; so it has its own prefix.

// infinityDefault is the model name that Infinity's clients send for no model.
const infinityDefault = "default/not-specified"

// echoText appends a document as Infinity has it.
func echoText(w *writer, c *call, index int) {
	w.raw(`,"document":`).string(c.list.texts[index])
}
