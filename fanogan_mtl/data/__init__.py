"""From a data set's name to splits of prepared images.

`specs` reads what the user typed, `catalog` turns it into a prepared `dataset.Dataset`, `splits` cuts that into the
one-class protocol's train, validation and test. Behind them: the sources (`samples`, `streetdigits`, `published`,
`folder` with its `files`, `npz`, `adbench`), `decode` and `transforms` (which training and serving share), `cache` and
`hashing`.
"""
