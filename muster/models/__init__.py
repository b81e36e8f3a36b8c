"""Models: what calls a provider of chat or of embeddings, and the embedder of our own. Imports the domain alone."""
