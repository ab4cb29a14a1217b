# What ./Makefile adds to the Makefile of nginx's configure, which it is read
# after.
#
# SO:          the module
# PLAIN_OBJS:  objects that ./Makefile has made
# SERVER_OBJS: those of src/server; nginx's headers, which are most of what the
#              compiler reads for each of them, are read once

$(SO): $(PLAIN_OBJS)

ONCE := ../nginx/headers-once.h

$(ONCE):
	printf '#include <%s.h>\n' ngx_config ngx_core ngx_event ngx_http > $@

$(ONCE).gch: CFLAGS := $(CFLAGS)
$(ONCE).gch: $(ONCE)
	$(CC) -c -fPIC $(CFLAGS) $(ALL_INCS) -x c-header -o $@ $<

$(SERVER_OBJS): CFLAGS += -include $(ONCE)
$(SERVER_OBJS): $(ONCE).gch
