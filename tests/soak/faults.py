def all_of_them(*_):
    return []
