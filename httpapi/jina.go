package httpapi

// Jina: Cohere's body with other names for the truncation of long documents.

var jinaFields = form{
	laxFlag("truncation", false, func(c *call) *bool { return &c.noTruncation }),
	count("max_doc_length", func(c *call) *int { return &c.options.MaxDocumentTokens }),
}

// echoObject appends a document as Cohere and Jina have it: as an object, even if it came as a string.
func echoObject(w *writer, c *call, index int) {
	if object, is := c.list.objects[index]; is {
		w.raw(`,"document":`).raw(object)
		return
	}
	w.raw(`,"document":{"text":`).string(c.list.texts[index]).raw("}")
}
