"""The embedded garments, unpacked once a process: that takes longer than most tests that look at some of them.

Importing it is enough, before anything that imports what it replaces. Nobody may write into the arrays.
"""

import functools

from gnexp.data.generated import fashion_mnist

fashion_mnist.load_fashion_mnist = functools.cache(fashion_mnist.load_fashion_mnist)
