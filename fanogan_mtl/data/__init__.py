"""From a data set's name to splits of prepared images.

`specs` reads what the user typed. Each kind of source is a row of `sources.registry` and a module beside it, which
loads images or vectors as they are. `prepared` makes arrays of them and keeps these in the data folder (`cache`),
`catalog` hands them out as a `dataset.Dataset`, and `splits` parts that into the one-class protocol's train, validation
and test, in the random orders of `draws`. Training and serving share `images.decode` and `transforms`.
"""
