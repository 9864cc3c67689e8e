package httpapi

// Infinity: no fields of its own. Its clients want a document as a string, where Cohere's and Jina's want an object,
// and send the same request to the same path; so that has its own prefix.

// infinityDefault is how Infinity's clients say that they name no model.
const infinityDefault = "default/not-specified"

// echoText appends a document as Infinity has it.
func echoText(w *writer, c *call, index int) {
	w.raw(`,"document":`).string(c.list.texts[index])
}
