#include "l7/tls/hello.h"
