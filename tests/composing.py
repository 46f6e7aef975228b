"""One composer for the tests that compose runs by themselves: what it has read and merged once serves them all."""

from gnexp.compose.composer import Composer

COMPOSER = Composer()
