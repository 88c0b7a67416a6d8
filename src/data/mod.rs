//! Images and labels: read from public file formats, split, and cut into batches.
