"""Reading and writing word vectors in the formats of word2vec, fastText and gensim."""
