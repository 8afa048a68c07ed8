/* Loads an addon as Node.js does, without being it: every symbol that the addon needs has to be there
 * (RTLD_NOW), the functions of Node-API from here and the rest from this machine's C library. Then it
 * calls `check`, and ends with 0 if that gives 0. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *(*callback)(void *env, void *info);

static callback check;
static int number = -1;

int napi_create_function(void *env, const char *name, size_t length, callback call, void *data,
                         void **result) {
  (void)env, (void)length, (void)data;
  if (strcmp(name, "check") == 0) check = call;
  *result = &check;
  return 0;
}

int napi_set_named_property(void *env, void *object, const char *name, void *value) {
  (void)env, (void)object, (void)name, (void)value;
  return 0;
}

int napi_create_int32(void *env, int value, void **result) {
  (void)env;
  number = value;
  *result = &number;
  return 0;
}

#define NOT_CALLED(name) \
  int name(void) { abort(); }
NOT_CALLED(napi_create_array_with_length)
NOT_CALLED(napi_create_double)
NOT_CALLED(napi_create_external)
NOT_CALLED(napi_create_string_utf8)
NOT_CALLED(napi_get_cb_info)
NOT_CALLED(napi_get_typedarray_info)
NOT_CALLED(napi_get_value_bool)
NOT_CALLED(napi_get_value_double)
NOT_CALLED(napi_get_value_external)
NOT_CALLED(napi_get_value_int32)
NOT_CALLED(napi_get_value_string_utf8)
NOT_CALLED(napi_get_value_uint32)
NOT_CALLED(napi_is_typedarray)
NOT_CALLED(napi_set_element)
NOT_CALLED(napi_throw_error)
NOT_CALLED(napi_typeof)

int main(int argc, char **argv) {
  void *addon = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  callback start = addon == NULL ? NULL : (callback)dlsym(addon, "napi_register_module_v1");
  if (start == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  if (start(NULL, &number) == NULL || check == NULL) return 2;
  check(NULL, NULL);
  return number == 0 ? 0 : 3;
}
