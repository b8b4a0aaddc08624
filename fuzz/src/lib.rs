//! What the fuzz targets do with their input, so that the tests can replay the corpus.
