"""Key locks: block-wise keyed image transforms with transfer learning.

Sources: arXiv 2008.02450, 2103.03525 and 2105.14756. This is a functional lock, an obfuscation: it
does not keep the weights confidential.
"""
