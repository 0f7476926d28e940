#include "l7/tls/book.h"
