#include "l7/tls/session.h"
