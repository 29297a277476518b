"""Short digests, by which contents are told apart."""

import hashlib

__all__ = ["content_digest"]


def content_digest(*content: str | bytes | memoryview) -> str:
    """Compute the first 16 hexadecimal digits of the SHA-256 of the contents, one after the other.

    Args:
        *content: Texts, taken as UTF-8, or bytes.

    Returns:
        The digits, 16 characters.

    Example:
        >>> content_digest("abc") == content_digest("ab", b"c")
        True
    """
    sha = hashlib.sha256()
    for part in content:
        sha.update(part.encode() if isinstance(part, str) else part)
    return sha.hexdigest()[:16]
